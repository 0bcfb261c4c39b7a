"""A customer's record that two services keep: what both sides do alike."""
