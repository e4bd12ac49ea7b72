################################################################################
#
# pollux
#
################################################################################

POLLUX_VERSION = 0.1.0
POLLUX_SITE = $(realpath $(BR2_EXTERNAL_POLLUX_PATH)/..)
POLLUX_SITE_METHOD = local
POLLUX_LICENSE = MIT or Apache-2.0
POLLUX_LICENSE_FILES = LICENSE-APACHE LICENSE-MIT
POLLUX_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude /target

POLLUX_CARGO_BUILD_OPTS = --package pollux

# As Cargo.toml's release profile, in place of what Buildroot derives from its
# own optimization level: the binary is loaded into RAM and must stay small.
POLLUX_CARGO_ENV = \
	CARGO_PROFILE_RELEASE_OPT_LEVEL="z" \
	CARGO_PROFILE_RELEASE_LTO="fat" \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS="1"

# Crates of a local source are not vendored by Buildroot: they are fetched here,
# as Cargo.lock names them, into the cache that the offline build reads.
define POLLUX_FETCH_CRATES
	cd $(@D) && \
	$(TARGET_MAKE_ENV) $(PKG_CARGO_ENV) \
		cargo fetch --locked --target $(RUSTC_TARGET_NAME)
endef
POLLUX_PRE_BUILD_HOOKS += POLLUX_FETCH_CRATES

# The kernel's config lists all that is wanted. Buildroot would add whatever the
# kernel has by default: all that is not listed is off, as in board/kernel/build.
define POLLUX_LINUX_CONFIG_FIXUPS
	KCONFIG_ALLCONFIG=$(LINUX_KCONFIG_FILE) $(LINUX_KCONFIG_MAKE) allnoconfig
endef

define POLLUX_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 \
		$(@D)/target/$(RUSTC_TARGET_NAME)/release/pollux $(TARGET_DIR)/init
endef

$(eval $(cargo-package))
