"""From a model file and labelled pictures to the parts of a bundle."""
