"""Reading vendors' systems back, for senders that tell too little or lose what they send."""
