/* SPDX-License-Identifier: MIT */
/* Numbers that stand both in abi/ and in schema/ are the same. */
#include "tests/unit/test.h"

#include "abi/ring.h"
#include "annotations.capnp.h"
#include "status.capnp.h"

TEST(abi_exceptions, "exceptions have the ring's numbers")
{
    CHECK_EQ(EXCEPTION_NONE, CAPOS_EXC_NONE);
    CHECK_EQ(EXCEPTION_FAILED, CAPOS_EXC_FAILED);
    CHECK_EQ(EXCEPTION_OVERLOADED, CAPOS_EXC_OVERLOADED);
    CHECK_EQ(EXCEPTION_DISCONNECTED, CAPOS_EXC_DISCONNECTED);
    CHECK_EQ(EXCEPTION_UNIMPLEMENTED, CAPOS_EXC_UNIMPLEMENTED);
    CHECK_EQ(EXCEPTION_INVALID_ARGUMENT, CAPOS_EXC_INVALID_ARGUMENT);
    CHECK_EQ(EXCEPTION_COUNT, CAPOS_EXC_COUNT);
}

TEST(abi_transfer_modes, "copy and move have the transfer descriptor's numbers")
{
    CHECK_EQ(TRANSFER_MODE_COPY, CAPOS_XFER_COPY);
    CHECK_EQ(TRANSFER_MODE_MOVE, CAPOS_XFER_MOVE);
}

TEST(abi_statuses, "statuses are negative, closed, named and explained")
{
    CHECK_EQ(ST_OK, 0);
    CHECK_EQ(ST_BAD_CAP, -1);
    for (int status = 0; status > -STATUS_COUNT; status--) {
        CHECK(strcmp(status_name(status), "unknown status") != 0);
        CHECK(strlen(status_text(status)) > 0);
    }
    CHECK_STR_EQ(status_name(ST_RESULT_TOO_SMALL), "RESULT_TOO_SMALL");
    CHECK_STR_EQ(status_name(-STATUS_COUNT), "unknown status");
    CHECK_STR_EQ(status_name(17), "OK");
}
