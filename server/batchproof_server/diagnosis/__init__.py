"""Why a picture got its answer: what was measured, the checks, the verdict, its pages. Pure."""
