"""What is made for those who run Roost: packages, a bill of materials, a dashboard, a release."""
