"""What is shipped beside the package: the image, the chart, the configuration files."""
