# The targets a user needs: make, make demo, make test. The rest is for
# developers. What takes more than a line or two is a script in tests/.

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 10s
PKGS     ?= ./...
SPEED    ?=
export VERSION FUZZTIME SPEED
# Keys are erased from stacks, registers and garbage (keymgmt/secret/erase).
export GOEXPERIMENT := runtimesecret

.PHONY: all deps demo deb image test test-image test-host test-vm test-vm-interop test-vm-rest bench soak fuzz generate lint promtool clean

all: bin/linkseal

.PHONY: bin/linkseal bin/vmrun bin/count bin/speed bin/wireguard-go
bin/linkseal:
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.buildVersion=$(VERSION)" -o $@ ./cmd/linkseal

bin/vmrun:
	@CGO_ENABLED=0 go build -trimpath -o $@ ./tests/vm/run

bin/count:
	@CGO_ENABLED=0 go build -trimpath -o $@ ./tests/count

bin/speed:
	@CGO_ENABLED=0 go build -trimpath -o $@ ./tests/speed

# Stock, of the version in go.mod: to compare with.
bin/wireguard-go:
	@GOEXPERIMENT= CGO_ENABLED=0 go build -trimpath -o $@ golang.zx2c4.com/wireguard

# The package for Debian: bin/linkseal_VERSION_ARCH.deb.
deb: deps bin/linkseal
	@images/deb/build

# The appliance image, in bin/image: raw, qcow2, VHD, update, SBOM. images/build says
# what may be set.
image: deb
	@tests/deps build-image
	@images/build

# Two appliances, a secured link, a key rotation under traffic: on this machine,
# or in a guest if it cannot be here.
demo: bin/linkseal
	@MAKE="$(MAKE)" tests/demo

# All tests, on this machine and in two guests at once, each of which would keep one
# processor busy: what two appliances do to each other takes as long as the rest. To
# a guest it is all one when it has a processor, so that the machine's own go first.
INTEROP := ./tests/interop
test: deps promtool
	@$(MAKE) --no-print-directory -j3 test-host test-vm-interop test-vm-rest

# On this machine: all tests, under the race detector.
test-host: bin/count bin/linkseal
	@tests/host $(PKGS)

# In a guest with Debian's kernel: the tests that say what they need of one.
test-vm: deps bin/vmrun bin/linkseal
	bin/vmrun -steady -timeout 20m -pkgs $(PKGS) -- -test.short -test.timeout=15m

# Of what two appliances do to each other these take long on emulated processors,
# and are make soak's alone: others have what is in them, one by one.
LONG := TestForgotten|TestThreeMembers|TestVanished|TestVaultSupplicant|TestSupplicantStays|TestStoppedAndStarted|TestRolloverSupplicant|TestPairOptions|TestKilledBoth|TestUserspaceVLAN|TestTunnelDSCP|TestReloadChanges|TestQdiscBypass|TestSupplicantIntegrityOnly|TestSupplicantReplayWindow
# These the host has with user space at both ends (tests/userspace). Of user space
# against the kernel TestUserspaceKernel and TestUserspaceSupplicant stay, of
# tunnels in the kernel a kill, and DSCP.
BOTH := TestReload|TestCarrierFlap|TestShould|TestTags|TestLabClearsUp|TestUserspace(Rollover|Rekey|Killed|Jumbo)|Test(Tunnel|IPsec)(Clear|Rotate|Reload|Size|Path|Around|Derived|Members|Many)
# Of the filter these flood, or load programs again and again, or are about what
# no kernel does otherwise; the host has them too, but for the ways out by a VLAN
# device and by ipvlan, which are make soak's alone.
FLOODS := TestReload|TestSocketsStay|TestWithoutAFXDP|TestEvents|TestOlderVersion|Test[A-Z][a-z]*Truth|TestUnderlayLive|Test[A-Z][a-z]*UnderFlood|TestIngressMoves|TestWays[A-Z].*|TestGuardLasts|TestNumbers|TestRulesCompiled|TestMoved|TestOpened|TestEAPOLLimit|TestGuardSweeps|TestUnderlayRandom|TestDetach|TestHalfGone|TestNotJoinedBeforeTC|TestAccountsStay|TestNothingKnown|TestUnderlaySet|TestCircuitsFull|TestCircuitsOfNobody|TestOuterCircuits|TestTagsBesideGate|TestLostEvents|TestEventsEnd|TestLostEventIsNoSilence|TestTagsBesideUnderlay|TestBecomesUnderlay|TestXDPRefused|TestOutlivesProcessAndMountNamespace|TestJumboMTU|TestTagBesideTheFrame|TestSocketReceives|TestSuperPacket|TestTagsTorn|TestTagsLife|TestMoreQueues|TestForeignBesideTC|TestShortFrames|TestTagSuperPackets|TestSentByKey|TestRedirect|TestGuardWaitsForNobody|TestGuardLeavesOthers|TestNoCounter|TestSCsChange|TestClockSetBack|TestVeth|TestTagPackets|TestTagsByTC|TestIngressQdisc|TestHostIsSilent|TestNotUnderlay|TestGuardOfCgroupNamespace|TestAccounts|TestSent|TestEAPOLByTC
# Of tunnels these the host has in user space, and they are the same code: in the
# guest stay the kernel's rows against stock, adoption, repair, a second device, and
# a charon that is killed. The kernel's rows of TestChange, TestChangeInPlace and
# TestManyChanges, of two minutes each, are make soak's alone.
ROWS := TestCertificates|TestLargeCertificates|TestNothingLeaks|TestCharonHangs|TestRekey|TestProof|TestRemoved|TestPruned|TestLoaded|TestReplacedMeanwhile|TestRotation|TestCharonDoesNotStart|TestLacks|TestNotTaken|TestVaultCertificate|TestCertificateFile|TestWrong|TestAdopted|TestVolume|Test.*Virtual|TestReopened|TestEndpointAgain|TestChange|TestChangeInPlace|TestManyChanges
# Of what a configuration becomes these need nothing that the host has not.
PLANS := TestTap.*|TestHashAsBefore|TestClosed|TestLoopbackDown|TestRulesWithoutTable|TestTunnelOnPort|TestTunnelAsShown|TestLift|TestSealed.*|TestFilterRead|TestTagging|TestReloadWhileVaultAway|TestPSKsAreKept|TestCircuitsBound.*|TestKeyWindows|TestAwait.*|TestUserspaceReload|TestPowerCut|TestStepFails
test-vm-interop: PKGS = $(INTEROP)
test-vm-interop: SKIP = -test.skip='^($(LONG)|$(BOTH))$$'
test-vm-rest: SKIP = -test.skip='^($(FLOODS)|$(ROWS)|$(PLANS))$$'
# The Debian package is the same wherever it is built, and takes long on an emulated
# processor.
test-vm-rest: PKGS = $(shell go list ./... | grep -v -e /tests/interop$$ -e /images/deb$$)
test-vm-interop test-vm-rest: deps bin/vmrun bin/linkseal
	nice -n 19 bin/vmrun -steady -timeout 40m -pkgs $(PKGS) -- -test.short -test.timeout=25m $(SKIP)

# The appliance image of this commit, in bin/image or made anew, in QEMU.
test-image: bin/count
	@MAKE="$(MAKE)" tests/image

# What make test runs shortened, in full.
soak: deps bin/vmrun bin/linkseal
	LINKSEAL_SOAK=1 go test -timeout 24h -v ./tests/userspace ./tests/kill ./dataplane/overlay/wireguard ./dataplane/overlay/ipsec
	LINKSEAL_SOAK=1 bin/vmrun -steady -timeout 4h -v -pkgs $(PKGS) -- -test.timeout=4h
	LINKSEAL_SOAK=1 go test -timeout 24h -v -run 'Explore|Random' ./keymgmt/mka
	$(MAKE) --no-print-directory image
	LINKSEAL_SOAK=1 $(MAKE) --no-print-directory test-image
	images/twice

# Against raw veth and wireguard-go, then the Go benchmarks. SPEED has flags of
# tests/speed, as SPEED='-rounds 9 -json speed.json'.
bench: deps bin/vmrun bin/linkseal bin/speed bin/wireguard-go
	@tests/bench $(PKGS)

fuzz:
	@tests/fuzz $(PKGS)

generate: deps
	go generate ./...

lint:
	@tests/lint

deps:
	@tests/deps

# What tries the alert rules in monitoring/, alone of Debian's prometheus.
promtool:
	@tests/promtool

clean:
	rm -rf bin
