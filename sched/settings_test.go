package sched

import (
	"testing"
	"time"
)

// Settings survive a restart, unless they have expired.
func TestRestoreSettings(t *testing.T) {
	r := newRig(t, perl())
	set := Setting{By: "anna", Reason: "why", Since: start, Until: start.Add(time.Minute)}
	r.pause("\xff\x01", set)
	r.close("\xff\x01", Setting{By: "bert", Since: start})
	r.pause("soon", Setting{Until: start.Add(time.Second)})
	document, err := r.s.SaveSettings()
	if err != nil {
		t.Fatal(err)
	}
	again := newRig(t, perl())
	again.at(2 * time.Second)
	var fx Effects
	if err := again.s.RestoreSettings(document, again.now, &fx); err != nil {
		t.Fatal(err)
	}
	again.carry(&fx)
	all := again.s.Settings()
	if len(all) != 1 || all[0].Function != "\xff\x01" || *all[0].Paused != set || all[0].Closed.By != "bert" {
		t.Errorf("restored is %+v", all)
	}
	again.at(time.Minute) // the timer is set, too
	if all := again.s.Settings(); len(all) != 1 || all[0].Paused != nil {
		t.Errorf("after its end %+v", all)
	}
	r.pause("\xff\x01", Setting{By: "carla", Since: start})
	if err := r.s.RestoreSettings(document, r.now, &fx); err != nil {
		t.Fatal(err)
	}
	if all := r.s.Settings(); len(all) != 2 || all[len(all)-1].Paused.By != "carla" && all[0].Paused.By != "carla" {
		t.Errorf("what was set since is %+v", all)
	}
	for _, bad := range []string{"", "{", `{"format":2}`} {
		if again.s.RestoreSettings([]byte(bad), again.now, &fx) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
