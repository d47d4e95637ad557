"""What several test files share: networks, trainings, bundles, stand-ins for other trainers' trees."""
