"""What should be known before and after training: the data doctor and the bias audit. Tables in, tables out."""
