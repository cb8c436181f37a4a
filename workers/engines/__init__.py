"""The engines that speak and recognise: a package each, under one protocol."""
