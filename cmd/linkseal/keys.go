package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status/vault"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/keyvault"
)

// keysFlags are what list and show share.
type keysFlags struct {
	config, socket string
	json, showKeys bool
}

func keysVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys list|show|generate",
		Short: "List, show and make the keys of keychains",
		Long: `List, show and make the keys of a configuration's keychains. Keys of ports go by
their CKN, PSKs of tunnels by their id, and both by a fingerprint; the octets of
a key are printed with --show-keys alone. A PSK that is text has no fingerprint:
it may be a word, and could be found by it.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown verb keys %q; accepted: list, show, generate", args[0]))
			}
			return usage(fmt.Errorf("keys needs a verb; accepted: list, show, generate"))
		},
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(keysListVerb(), keysShowVerb(), keysGenerateVerb())
	return c
}

func (f *keysFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "", "the configuration `FILE`")
	c.Flags().StringVar(&f.socket, "socket", "", "the daemon's control socket `PATH` (default: the configuration's)")
	c.Flags().BoolVar(&f.json, "json", false, "one JSON document on standard output")
	c.Flags().BoolVar(&f.showKeys, "show-keys", false, "print the octets of the keys too")
}

func keysListVerb() *cobra.Command {
	var f keysFlags
	c := &cobra.Command{
		Use:   "list --config FILE",
		Short: "List all keys: window, state, fingerprint, use by the daemon",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.run(c, func(keychain.CKN, string, string) bool { return true }, "")
		},
	}
	f.register(c)
	return c
}

func keysShowVerb() *cobra.Command {
	var f keysFlags
	c := &cobra.Command{
		Use:   "show KEYCHAIN|CKN|ID --config FILE",
		Short: "Show the keys of a keychain, or the key with a CKN, or the PSK with an id",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("keys show takes one KEYCHAIN, CKN or ID, got %d arguments", len(args)))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			ckn, err := keychain.ParseCKN(args[0])
			return f.run(c, func(k keychain.CKN, id, chain string) bool {
				return chain == args[0] || id == args[0] || err == nil && k != "" && k == ckn
			}, args[0])
		},
	}
	f.register(c)
	return c
}

// picker chooses a key by its CKN, or its id, and the name of its keychain.
type picker func(ckn keychain.CKN, id, chain string) bool

// run prints the keys that pick chooses. wanted is the argument that must
// name at least one, if there is one.
func (f *keysFlags) run(c *cobra.Command, pick picker, wanted string) error {
	if f.config == "" {
		return usage(fmt.Errorf("keys %s needs --config FILE", c.Name()))
	}
	cfg, err := readKeychains(c.Context(), f.config)
	defer cfg.zero()
	if err != nil {
		return err
	}
	if f.socket == "" {
		f.socket = cfg.Socket
	}
	l := listKeys(cfg, pick, daemonUse(c.Context(), f.socket), f.showKeys)
	if wanted != "" && len(l.Keychains) == 0 {
		return fmt.Errorf("%s has no keychain and no key named %q; linkseal keys list --config %s lists them", f.config, wanted, f.config)
	}
	if f.json {
		return writeJSON(c.OutOrStdout(), l)
	}
	return l.write(c.OutOrStdout())
}

// readKeychains reads a configuration and all its keychains, in files and in
// vaults; ports need not be fit for them, nor this machine for the ports.
func readKeychains(ctx context.Context, path string) (*configured, error) {
	var all strict.Problems
	cfg, err := config.Load(path)
	c := &configured{Config: cfg, chains: map[string]*keychain.Keychain{}, refused: map[string][]string{}}
	if err != nil {
		return c, err
	}
	for _, k := range cfg.Keychains {
		if k.Vault != nil {
			if err := c.readVault(ctx, k); err != nil {
				all = append(all, cfg.Problem("keychains."+k.Name+".vault", "keychain "+k.Name+": "+err.Error(), "a vault that this machine may read; the daemon goes on with the keys that it has: linkseal status"))
			}
			continue
		}
		chain, err := file.Load(k.Path)
		if err != nil {
			all = append(all, sourceProblems(cfg, k.Name, err)...)
			continue
		}
		c.chains[k.Name] = chain
	}
	return c, all.Err()
}

func (c *configured) readVault(ctx context.Context, k config.Keychain) error {
	chain, refused, err := keyvault.Read(ctx, k.Name, keyvault.NewHelper(vaultConfig(k.Vault)))
	if err != nil {
		return err
	}
	c.chains[k.Name] = chain
	for _, r := range refused {
		c.refused[k.Name] = append(c.refused[k.Name], vault.Refused(r))
	}
	return nil
}
