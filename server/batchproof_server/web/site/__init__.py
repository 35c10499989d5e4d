"""The page for people: models, live figures, and a picture that is answered and diagnosed."""
