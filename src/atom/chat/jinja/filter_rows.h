// The tables that filters.cc searches: each family of filters has its file.
#pragma once

#include <span>

#include "atom/chat/jinja/filters.h"

namespace atom::chat::jinja {

std::span<const FilterRow> TextFilters();      // text_filters.cc
std::span<const FilterRow> NumberFilters();    // number_filters.cc
std::span<const FilterRow> SequenceFilters();  // sequence_filters.cc
std::span<const FilterRow> OrderFilters();     // order_filters.cc

}  // namespace atom::chat::jinja
