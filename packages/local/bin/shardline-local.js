#!/usr/bin/env node
// The command. It is a file of git, not of the build: npm links a bin at the install, when a fresh clone has no dist yet.
import '../dist/bin.js';
