"""HTTP as all three services speak it: assembly, credentials, problems, pages, feed, client."""
