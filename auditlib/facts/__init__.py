"""What a fact is: declared tables, and the snapshot that holds them."""
