// Package suite reads IPsec proposals in strongSwan's words and judges them:
// what is weak, and what Azure's gateways accept. It has the profiles, which are
// proposals and lifetimes under a name. Pure: the configuration's check and
// whoever builds a connection ask it the same questions.
package suite
