module gearloop/clienttest/goclients

go 1.26.0

toolchain go1.26.11

require github.com/appscode/g2 v0.0.0-20190123131438-388ba74fd273

require (
	github.com/appscode/go v0.0.0-20191119085241-0887d8ec2ecc // indirect
	github.com/golang/glog v0.0.0-20160126235308-23def4e6c14b // indirect
	github.com/google/uuid v1.1.1 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	gopkg.in/robfig/cron.v2 v2.0.0-20150107220207-be2e0b0deed5 // indirect
)
