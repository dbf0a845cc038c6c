// Package ui turns replies into the screens of tealctl: pure text in, text out. It
// knows no socket, no flag and no clock (the time is an argument). State is never
// colour alone: a symbol and a word stand beside it.
package ui
