"""What test-time augmentation gains and costs on labelled pictures, and weights fitted on them."""
