"""What the maintainers run: generated files and checks of them."""
