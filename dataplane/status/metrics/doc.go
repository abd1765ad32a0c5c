// Package metrics tells the read model (package status) to Prometheus: a
// collector that takes a snapshot at each scrape, and the HTTP endpoint that
// serves it (Endpoint).
//
// Names begin with linkseal_ and follow Prometheus' conventions: seconds,
// bytes, _total, _timestamp_seconds. A state is a gauge for each value that it
// can have, 1 for the one that it has, so that alerts see it go; a fault is 0
// while there is none. What a status does not have is absent: a port that is
// not secured has no linkseal_port_secured_since_timestamp_seconds. Counters
// whose sum means something are one metric with a label: what became of the
// frames that the SecY received is linkseal_secy_in_packets_total by result.
//
// Labels are of what the configuration, the keychains and 802.1X bound: ports,
// circuits, of which a status names so many, SAs by SCI and AN. What changes more
// often, as a key identifier, is on one series that says so (_info), to be joined;
// texts and addresses of frames are on none. TestCardinality has how many series
// a port has at the most.
//
// Keys are named by CKN, as in a status, and PSKs by their id under the same
// label; of their octets there is nothing.
package metrics
