"""The engine: wires a method to a task on a cluster and hands the outcome to the record."""
