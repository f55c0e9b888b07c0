"""Speed, memory and accuracy, printed with machine and versions; nothing here is asserted."""
