package macsec

// From include/uapi/linux/if_macsec.h; golang.org/x/sys/unix has the
// IFLA_MACSEC_* alone.
const (
	familyName    = "macsec"
	familyVersion = 1
)

const (
	cmdGetTxSC = iota
	cmdAddRxSC
	cmdDelRxSC
	cmdUpdRxSC
	cmdAddTxSA
	cmdDelTxSA
	cmdUpdTxSA
	cmdAddRxSA
	cmdDelRxSA
	cmdUpdRxSA
)

const (
	attrIfindex = iota + 1
	attrRxSCConfig
	attrSAConfig
	attrSecY
	attrTxSAList
	attrRxSCList
	attrTxSCStats
	attrSecYStats
	attrOffload
)

const offloadType = 1

const (
	secySCI = iota + 1
	secyEncodingSA
	secyWindow
	secyCipherSuite
	secyICVLen
	secyProtect
	secyReplay
	secyOper
	secyValidate
	secyEncrypt
	secyIncSCI
	secyES
	secySCB
)

const (
	rxscSCI = iota + 1
	rxscActive
	rxscSAList
	rxscStats
)

const (
	saAN = iota + 1
	saActive
	saPN
	saKey
	saKeyID
	saStats
	_ // padding
	saSSCI
	saSalt
)
