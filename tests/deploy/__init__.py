"""What the deployment files say stands in the code."""
