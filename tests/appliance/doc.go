// Package appliance boots the image that make image built, in QEMU with Secure
// Boot, and tries what an appliance is to do: come up and secure a link with no
// hand on the console, take and refuse provisioning and updates, refuse to boot
// what was tampered with, and lose power at any moment.
//
// Its tests run by make test-image, which names the image's directory in
// LINKSEAL_IMAGE and the directory with the keys that it was signed with in
// LINKSEAL_IMAGE_KEYS. Without an image they skip; with one and without its keys they
// fail. What the machines said on their consoles, and the frames on their wires, stay
// in the directory trial beside the image.
package appliance
