package load

import "gearloop/test/await"

func init() { grace = await.Limit }
