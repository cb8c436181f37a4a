"""Container images, and code that runs only inside them."""
