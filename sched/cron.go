package sched

import (
	"strconv"
	"time"
)

// schedule holds the fields of SUBMIT_JOB_SCHED. anyValue matches always; all fields must match.
type schedule struct{ minute, hour, day, month, weekday int }

const anyValue = -1

const (
	// scheduleYears is how many years ahead a day is searched for: a given weekday falls on 29 February within
	// 40 years, even around 2100, which has no such day.
	scheduleYears = 41
	// scheduleGaps is how many matching days may be skipped because the clock skips the minute on them. A zone
	// sets its clock forward once or twice a year.
	scheduleGaps = 2 * scheduleYears
)

// nextMoment finds the next minute after now that matches the fields of SUBMIT_JOB_SCHED: minute 0-59, hour
// 0-23, day of month 1-31, month 1-12, day of week 0-6 with 0 for Monday. An empty field or "*" matches
// always; all fields must match. The time zone is now's. A minute that the clock skips does not occur on that
// day; of one that occurs twice, either may be returned. ok is false if a field is not a number in its range,
// or for a day that never occurs, such as 31 February.
//
// The work is bounded: it goes through the days of at most scheduleYears, and consults the zone's clock for
// at most scheduleGaps of them.
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

// parseSchedule parses the fields. ok is false for a number out of range and for a day that the month never
// has.
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

// fallsOn reports whether a day matches the weekday.
func (want *schedule) fallsOn(year int, month time.Month, day int) bool {
	sunday0 := int(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday())
	return matches(want.weekday, (sunday0+6)%7)
}

// daysIn returns the number of days of a month.
func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// onDay finds the first minute of the day, not before first, that matches hour and minute. It goes through
// the periods of the day in which the clock is not set, rarely more than one: within a period the minute can
// be computed.
func (want *schedule) onDay(year int, month time.Month, day int, first time.Time) (due time.Time, ok bool) {
	// Seconds of the wall clock, as if it showed UTC.
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
			// On the last day of a leap year, far from any change of the clock, ZoneBounds takes a year for 365 days.
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

// minuteFrom returns the first matching minute of a day that is not before minute, both counted from
// midnight.
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
