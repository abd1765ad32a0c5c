// Package deb makes the Debian package (build, from debian/), and tests what comes out.
package deb
