"""The written result of the proof: its form, its digest, its reuse."""
