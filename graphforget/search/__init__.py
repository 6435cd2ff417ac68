"""Architecture search: small networks that are cheap to train again, and clips that become one image."""
