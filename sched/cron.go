package sched

import (
	"strconv"
	"time"
)

// schedule is the fields of SUBMIT_JOB_SCHED, anyValue where a field matches always. All have to match.
type schedule struct{ minute, hour, day, month, weekday int }

const anyValue = -1

const (
	// scheduleYears is how far ahead a day is looked for: a given weekday on 29 February comes within 40
	// years, also around a year like 2100, which has no such day.
	scheduleYears = 41
	// scheduleGaps is how many days that match may pass because the clock skips the minute on them. A zone
	// sets its clock forward once or twice a year.
	scheduleGaps = 2 * scheduleYears
)

// nextMoment finds the next minute after now that matches the fields of SUBMIT_JOB_SCHED: minute
// 0-59, hour 0-23, day of month 1-31, month 1-12, day of week 0-6 with 0 for Monday; a field that
// is empty or "*" matches always. All fields have to match. The time zone is now's. A minute that the clock
// skips does not come on that day; of one that it shows twice, either counts. ok is false for
// a field that is no such number and for a day that never comes, such as 31 February.
//
// The work is bounded: days are gone through by number, scheduleYears of them at most, and the clock of the
// zone is asked about scheduleGaps of them at most.
func nextMoment(fields [5][]byte, now time.Time) (due time.Time, ok bool) {
	want, ok := parseSchedule(fields)
	if !ok {
		return due, false
	}
	first := now.Truncate(time.Minute).Add(time.Minute)
	year, month, day := first.Date()
	gaps := 0
	for range 12 * scheduleYears {
		from, to := day, daysIn(year, month)
		if want.day != anyValue {
			from, to = max(from, want.day), min(to, want.day)
		}
		for d := from; d <= to && matches(want.month, int(month)) && gaps <= scheduleGaps; d++ {
			if !want.fallsOn(year, month, d) {
				continue
			}
			if due, ok := want.onDay(year, month, d, first); ok {
				return due, true
			}
			gaps++
		}
		if day, month = 1, month+1; month > time.December {
			year, month = year+1, time.January
		}
	}
	return due, false
}

// parseSchedule reads the fields. ok is false for what is no number in its bounds, and for a day that no such
// month has.
func parseSchedule(fields [5][]byte) (want schedule, ok bool) {
	for i, field := range []struct {
		to          *int
		least, most int
	}{
		{&want.minute, 0, 59}, {&want.hour, 0, 23}, {&want.day, 1, 31}, {&want.month, 1, 12}, {&want.weekday, 0, 6},
	} {
		*field.to = anyValue
		if text := string(fields[i]); text != "" && text != "*" {
			n, err := strconv.Atoi(text)
			if err != nil || n < field.least || n > field.most {
				return want, false
			}
			*field.to = n
		}
	}
	const leapYear = 2000
	return want, want.month == anyValue || want.day <= daysIn(leapYear, time.Month(want.month))
}

func matches(want, value int) bool { return want == anyValue || want == value }

// fallsOn reports whether a day is the day of the week that is wanted.
func (want *schedule) fallsOn(year int, month time.Month, day int) bool {
	sunday0 := int(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday())
	return matches(want.weekday, (sunday0+6)%7)
}

// daysIn returns the number of days of a month.
func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// onDay finds the first minute of the day, from first on, that matches hour and minute. It goes through the
// stretches of the day in which the clock is not set, rarely more than one: within one the minute can be computed.
func (want *schedule) onDay(year int, month time.Month, day int, first time.Time) (due time.Time, ok bool) {
	// Seconds as the clock on the wall counts them, as if in UTC.
	midnight := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix()
	const secondsOfDay = 24 * 60 * 60
	from := time.Date(year, month, day, 0, 0, 0, 0, first.Location())
	if from.Before(first) {
		from = first
	}
	for {
		_, offset := from.Zone()
		_, set := from.ZoneBounds() // when the clock is set next; zero: not on this day
		if !set.After(from) {
			// The last day of a leap year: far from any change of the clock ZoneBounds takes a year
			// for 365 days.
			set = time.Time{}
		}
		wall := from.Unix() + int64(offset) - midnight
		if wall >= secondsOfDay {
			return due, false
		}
		if minute, ok := want.minuteFrom(int(max(wall, 0)+59) / 60); ok {
			due := time.Unix(midnight+int64(minute)*60-int64(offset), 0).In(first.Location())
			if set.IsZero() || due.Before(set) {
				return due, true
			}
		}
		if set.IsZero() || set.Unix()+int64(offset)-midnight > secondsOfDay {
			return due, false
		}
		from = set
	}
}

// minuteFrom returns the first minute of a day that matches, from the given one on, both counted from midnight.
func (want *schedule) minuteFrom(minute int) (next int, ok bool) {
	switch {
	case want.hour == anyValue && want.minute == anyValue:
		next = minute
	case want.hour == anyValue:
		if next = minute - minute%60 + want.minute; next < minute {
			next += 60
		}
	case want.minute == anyValue:
		next = max(minute, want.hour*60)
		if next >= want.hour*60+60 {
			return 0, false
		}
	default:
		next = want.hour*60 + want.minute
	}
	return next, next >= minute && next < 24*60
}
