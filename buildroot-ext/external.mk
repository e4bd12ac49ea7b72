include $(sort $(wildcard $(BR2_EXTERNAL_POLLUX_PATH)/package/*/*.mk))
