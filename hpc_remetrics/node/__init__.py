"""What the ranks of one node share: scratch, its quota, signals."""
