// Package slot knows the two slots of an appliance's disk: partitions by their
// names, which of them the running root is on, the UKIs on the EFI system partition
// with systemd-boot's boot counting in their names, and how to write both so that it
// outlasts a loss of power.
//
// A slot is its partitions root-a and root-a-verity (or b). A UKI boots the slot
// that holds the file systems whose UUIDs its command line names; nothing else says
// which belongs to which, so that an update never writes the partition table.
package slot
