"""What artefacts of TensorFlow share, whatever engine executes them: functions of fixed rows."""
