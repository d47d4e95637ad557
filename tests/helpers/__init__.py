"""What several test files share: networks, trainings, bundles, a browser, stand-ins for other trainers' trees."""
