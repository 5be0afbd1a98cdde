"""What a composed architecture is made of: one file for each kind of part, one for what a spec may say of them."""
