"""Which repositories a registry has, how often they are pulled, and which tags they hold:
`crawl`."""
