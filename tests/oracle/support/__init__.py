"""What the programs share: services, instances, traffic, comparisons, the report."""
