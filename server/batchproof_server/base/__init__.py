"""What every room may use: values, errors, time; it knows no other room."""
