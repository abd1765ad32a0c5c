/* Lets wpa_supplicant find a MACsec device of GCM-AES-256, as LD_PRELOAD.
 *
 * wpa_supplicant 2.10 looks for its device with a template whose cipher suite
 * is libnl's default, GCM-AES-128, and libnl compares it: a device of another
 * suite "already exists", and then "couldn't [be found]". Here the template,
 * which is all that wpa_supplicant gives nl_cache_find, names the suite. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

struct nl_cache;
struct nl_object;
struct rtnl_link;
int rtnl_link_macsec_set_cipher_suite(struct rtnl_link *, uint64_t);

struct nl_object *nl_cache_find(struct nl_cache *cache, struct nl_object *filter)
{
	struct nl_object *(*find)(struct nl_cache *, struct nl_object *) = dlsym(RTLD_NEXT, "nl_cache_find");

	rtnl_link_macsec_set_cipher_suite((struct rtnl_link *)filter, 0x0080c20001000002);
	return find(cache, filter);
}
