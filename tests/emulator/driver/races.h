// The detector of races: conflicting accesses to shared or global memory that nothing puts in order.
//
// Two accesses conflict if one of them writes and not both are atomic. They are in order if a chain of barriers leads
// from one to the other: __syncthreads, __syncwarp, barriers by number, barriers in shared memory, the waits for copies
// and products in the background, and, between blocks, __threadfence before and after atomic operations on one place,
// though not from a block to a third one by way of two places.
// Shuffles, votes and products of a warp (mma, ldmatrix) put nothing in order, as the CUDA C++ Programming Guide and
// the PTX ISA have it. So a race is found in whatever order the threads ran.
//
// As in FastTrack (Flanagan and Freund, PLDI 2009), each thread counts its epochs, and knows of each other the last
// epoch that is before its own present: a vector clock. What runs in the background is an agent with epochs of its own,
// whose accesses are known to those who waited for them, or to whom one of these passed it on. Of each eight bytes the
// last four accesses are kept, as ThreadSanitizer does (Serebryany and others, WBIA 2009), so an unusual race of one
// with many may be missed.
#pragma once

#include "scheduler.h"

namespace emulator {

bool detects_races();  // EMULATOR_SANITIZE=thread

// All but the hooks do nothing where no races are detected.
void races_begin_launch(const Launch& launch);
void races_begin_block();

// A barrier of the block: what its threads did before they arrive is known to those that leave it.
void races_arrive(unsigned barrier, unsigned thread);
void races_leave(unsigned barrier, unsigned thread);
void races_end_barrier(unsigned barrier);

extern const RaceHooks race_hooks;

}  // namespace emulator
