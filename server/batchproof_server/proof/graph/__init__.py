"""Level 3 of the audit: the graphs that are served. Importing it imports TensorFlow."""

from batchproof_server.proof.graph.audit import audit_functions as audit_functions
from batchproof_server.proof.graph.endings import find_endings as find_endings
from batchproof_server.proof.graph.thresholds import find_thresholds as find_thresholds
