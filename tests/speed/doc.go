// Command speed measures what a link through linkseal carries, and with the
// same tools, in the same minutes, what raw veth and wireguard-go carry.
//
// Every contender is a pair of network namespaces of this machine joined by a
// veth, with 1500 octets of MTU for the traffic. In each round each contender
// does each measurement once: iperf3's TCP and UDP, ping, and the processor
// time that it took. The order of the contenders turns from round to round, so
// that what else the machine does hits all alike. The figures are medians over
// the rounds, with the least and the greatest.
//
// It needs root, iperf3 and ping, and removes all that it makes, also when it
// is interrupted.
package main
